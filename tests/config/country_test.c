#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/country.h"

#define LONG_NAME "A name of a country that is so long that no log wants to have all of it"
#define NAME_64   "0123456789012345678901234567890123456789012345678901234567890123"

/* A database for a test, as MaxMind DB File Format 2.0 says: network i has i ones, then a zero, in
 * front; the last one has no entry. */
static const struct {
    const char *code;       /* NULL: the entry has no country */
    const char *name;       /* NULL: it has no names */
    const char *found_name; /* NULL: no country is found */
} networks[] = {
    { "DE", "Germany", "Germany" }, /* 0.0.0.0/1 */
    { "FR", NULL, "" },             /* 128.0.0.0/2 */
    { NULL, NULL, NULL },           /* 192.0.0.0/3 */
    { "DEU", "Germany", NULL },     /* 224.0.0.0/4 */
    { "D", "Germany", NULL },       /* 240.0.0.0/5 */
    { "D1", "Germany", NULL },
    { "1D", "Germany", NULL },
    { "", "Germany", NULL },
    { "IO", NAME_64, NAME_64 }, /* 255.0.0.0/9 */
    { "IO", NAME_64 "x", "" },
    { "IO", LONG_NAME, "" },
    { "\x01\x02", "", NULL },
};

#define NETWORKS_COUNT ARRAY_LEN(networks)

static char path[256];

struct bytes {
    uint8_t data[4096];
    size_t count;
};

static void put(struct bytes *b, const void *data, size_t count)
{
    assert_true(count <= sizeof(b->data) - b->count);
    memcpy(b->data + b->count, data, count);
    b->count += count;
}

static void put_byte(struct bytes *b, size_t byte)
{
    put(b, &(uint8_t){ (uint8_t)byte }, 1);
}

static void put_text(struct bytes *b, const char *text)
{
    size_t len = strlen(text);

    put_byte(b, 2 << 5 | (len < 29 ? len : 29));
    if (len >= 29)
        put_byte(b, len - 29);
    put(b, text, len);
}

static void put_map(struct bytes *b, size_t pairs)
{
    put_byte(b, 7 << 5 | pairs);
}

static void put_number(struct bytes *b, const char *key, size_t value)
{
    put_text(b, key);
    put_byte(b, 5 << 5 | 2); /* of 16 bits */
    put_byte(b, value >> 8);
    put_byte(b, value & 0xff);
}

static void put_record(struct bytes *b, size_t record)
{
    put_byte(b, record >> 16);
    put_byte(b, record >> 8 & 0xff);
    put_byte(b, record & 0xff);
}

static void put_entry(struct bytes *b, const char *code, const char *name)
{
    put_map(b, code != NULL ? 1 : 0);
    if (code == NULL)
        return;
    put_text(b, "country");
    put_map(b, name != NULL ? 2 : 1);
    put_text(b, "iso_code");
    put_text(b, code);
    if (name == NULL)
        return;
    put_text(b, "names");
    put_map(b, 2);
    put_text(b, "de");
    put_text(b, "falsch");
    put_text(b, "en");
    put_text(b, name);
}

static void put_metadata(struct bytes *b)
{
    put(b, "\xab\xcd\xefMaxMind.com", 14);
    put_map(b, 9);
    put_number(b, "binary_format_major_version", 2);
    put_number(b, "binary_format_minor_version", 0);
    put_text(b, "build_epoch");
    put(b, "\x01\x02\x01", 3); /* 64 bits: an extended type */
    put_text(b, "database_type");
    put_text(b, "Test-Country");
    put_text(b, "description");
    put_map(b, 0);
    put_number(b, "ip_version", 4);
    put_text(b, "languages");
    put(b, "\x00\x04", 2); /* an empty array */
    put_text(b, "node_count");
    put_byte(b, 6 << 5 | 1);
    put_byte(b, NETWORKS_COUNT);
    put_number(b, "record_size", 24);
}

static int write_database(void **unused)
{
    static struct bytes entries, file;
    const char *temporary = getenv("TMPDIR");
    int fd;

    (void)unused;
    for (size_t i = 0; i < NETWORKS_COUNT; i++) {
        put_record(&file, NETWORKS_COUNT + 16 + entries.count);
        put_record(&file, i + 1); /* behind the last node: nothing */
        put_entry(&entries, networks[i].code, networks[i].name);
    }
    put(&file, (uint8_t[16]){ 0 }, 16);
    put(&file, entries.data, entries.count);
    put_metadata(&file);
    (void)snprintf(path, sizeof(path), "%s/config_country_XXXXXX",
                   temporary != NULL ? temporary : "/tmp");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, file.data, file.count), file.count);
    return close(fd);
}

static int remove_database(void **unused)
{
    (void)unused;
    return unlink(path);
}

static struct config_country *open_database(void)
{
    struct config_country *c = NULL;
    const char *why;

    if (config_country_open(path, &c, &why) != STATUS_OK)
        fail_msg("%s", why);
    return c;
}

static void a_country_has_a_code_of_two_letters_and_perhaps_a_name(void **unused)
{
    struct config_country *c = open_database();

    (void)unused;
    for (size_t i = 0; i < NETWORKS_COUNT; i++) {
        const uint32_t first = (uint32_t) ~(UINT64_C(0xffffffff) >> i);
        struct ip_address a = { .bytes = { [10] = 0xff, [11] = 0xff } };
        struct slice code = SLICE("??"), name = SLICE("??");
        bool is_found = networks[i].found_name != NULL;

        for (unsigned k = 0; k < 4; k++)
            a.bytes[12 + k] = (uint8_t)(first >> (24 - 8 * k));
        a.bytes[15] |= 1;
        assert_int_equal(config_country_find(c, &a, &code, &name), is_found);
        if (!slice_equal(code, slice_from(is_found ? networks[i].code : "??")) ||
            !slice_equal(name, slice_from(is_found ? networks[i].found_name : "??")))
            fail_msg("network %zu: %.*s %.*s", i, SLICE_ARGS(code), SLICE_ARGS(name));
    }
    config_country_close(c);
}

static void an_address_outside_of_the_database_has_no_country(void **unused)
{
    static const char *const addresses[] = { "255.255.255.255", "2001:db8::1", "::1", "::" };
    struct config_country *c = open_database();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        struct slice code, name;
        struct ip_address a;

        assert_true(ip_parse(slice_from(addresses[i]), &a));
        assert_false(config_country_find(c, &a, &code, &name));
    }
    config_country_close(c);
    config_country_close(NULL);
}

static void a_database_that_is_not_there_is_told(void **unused)
{
    struct config_country *c = NULL;
    const char *why = NULL;

    (void)unused;
    assert_int_equal(config_country_open("/nonexistent/database", &c, &why), STATUS_NOT_FOUND);
    assert_null(c);
    assert_true(strlen(why) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_country_has_a_code_of_two_letters_and_perhaps_a_name),
        cmocka_unit_test(an_address_outside_of_the_database_has_no_country),
        cmocka_unit_test(a_database_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, write_database, remove_database);
}
