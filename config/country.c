#include "config/country.h"

#include <errno.h>
#include <maxminddb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/source.h"

#define BYTES_MAX      ((size_t)1 << 30) /* of the file */
#define PATH_BYTES_MAX 32

struct config_country {
    MMDB_s database;
};

static enum status status_of(int error)
{
    switch (error) {
    case MMDB_FILE_OPEN_ERROR: return STATUS_NOT_FOUND;
    case MMDB_OUT_OF_MEMORY_ERROR: return STATUS_NO_MEMORY;
    case MMDB_IO_ERROR: return STATUS_IO;
    default: return STATUS_INVALID;
    }
}

/* The file's contents in memory of our own, under a path: who writes over the file while it is
 * mapped would take the pages away from lookups that are under way (SIGBUS). */
static enum status copy_file(const char *path, int *fd_out)
{
    int fd = memfd_create("country", MFD_CLOEXEC);
    struct buffer text;
    enum status status = fd >= 0 ? STATUS_OK : status_from_errno(errno);
    struct slice rest;

    buffer_init(&text, BYTES_MAX);
    if (status == STATUS_OK)
        status = config_file_read(path, &text);
    rest = buffer_contents(&text);
    while (status == STATUS_OK && rest.len > 0) {
        ssize_t written = write(fd, rest.data, rest.len);

        if (written < 0 && errno != EINTR)
            status = status_from_errno(errno);
        rest = slice_after(rest, written > 0 ? (size_t)written : 0);
    }
    buffer_finish(&text);
    if (status == STATUS_OK)
        *fd_out = fd;
    else if (fd >= 0)
        (void)close(fd);
    return status;
}

enum status config_country_open(const char *path, struct config_country **country_out,
                                const char **why_out)
{
    struct config_country *c = calloc(1, sizeof(*c));
    enum status status = STATUS_NO_MEMORY;
    char copy[PATH_BYTES_MAX];
    int error, fd = -1;

    if (c != NULL)
        status = copy_file(path, &fd);
    *why_out = status_text(status);
    if (status != STATUS_OK) {
        free(c);
        return status;
    }
    (void)snprintf(copy, sizeof(copy), "/proc/self/fd/%d", fd);
    error = MMDB_open(copy, MMDB_MODE_MMAP, &c->database);
    (void)close(fd);
    if (error != MMDB_SUCCESS) {
        *why_out = MMDB_strerror(error);
        free(c);
        return status_of(error);
    }
    *country_out = c;
    return STATUS_OK;
}

void config_country_close(struct config_country *country)
{
    if (country == NULL)
        return;
    MMDB_close(&country->database);
    free(country);
}

static struct slice text_at(MMDB_entry_s *entry, const char *const *path)
{
    MMDB_entry_data_s data;

    if (MMDB_aget_value(entry, &data, path) != MMDB_SUCCESS || !data.has_data ||
        data.type != MMDB_DATA_TYPE_UTF8_STRING)
        return SLICE("");
    return (struct slice){ data.utf8_string, data.data_size };
}

bool config_country_find(const struct config_country *country, const struct ip_address *address,
                         struct slice *code_out, struct slice *name_out)
{
    static const char *const code_path[] = { "country", "iso_code", NULL };
    static const char *const name_path[] = { "country", "names", "en", NULL };
    const struct ip_endpoint endpoint = { .address = *address };
    struct sockaddr_storage socket = { 0 };
    MMDB_lookup_result_s result;
    struct slice code;
    int error = MMDB_SUCCESS;

    (void)ip_endpoint_to_socket(&endpoint, &socket);
    /* An IPv6 address in a database of IPv4 is an error of the library, and no country for us. */
    result = MMDB_lookup_sockaddr(&country->database, (const struct sockaddr *)&socket, &error);
    if (error != MMDB_SUCCESS || !result.found_entry)
        return false;
    code = text_at(&result.entry, code_path);
    if (code.len != 2 || !ascii_is_letter(code.data[0]) || !ascii_is_letter(code.data[1]))
        return false;
    *code_out = code;
    *name_out = text_at(&result.entry, name_path);
    if (name_out->len > CONFIG_COUNTRY_NAME_MAX)
        name_out->len = 0;
    return true;
}
