/* config/load.h - from a libconfig file to checked settings and a policy snapshot.
 *
 * Loading reads the file, what it includes, and asks whether the files exist that it names; it
 * may block (disk, and name resolution for routes to host names), so it belongs to a thread
 * that may. It never logs and changes nothing: a configuration with an error yields problems
 * and no result. Not safe to call from two threads at the same time.
 */
#pragma once
#include "base/status.h"
#include "config/country.h"
#include "config/problems.h"
#include "config/settings.h"

#define CONFIG_OWN_ADDRESSES_MAX 256

struct config_loaded { /* arena is private, the rest is read-only */
    struct config_settings settings;
    struct policy_snapshot *policy; /* never NULL; owned */
    struct config_country *country; /* owned; NULL: there is no database */
    uint64_t generation;
    struct arena arena;
};

/* What loading asks the machine. Embed it, and take the outer object from the argument with
 * CONTAINER_OF. */
struct config_machine {
    /* Writes its addresses, as many as there is room for, and gives their number. */
    size_t (*own_addresses)(struct config_machine *machine,
                            struct ip_address addresses[CONFIG_OWN_ADDRESSES_MAX]);
};

/* Judges keys and certificates as the gateway would load them, so that all problems are told
 * together. Each call gives false for an error; why then says what is wrong, and holds a warning,
 * or "", when it gives true. */
struct config_tls_judge {
    bool (*certificate)(struct config_tls_judge *judge,
                        const struct config_certificate *certificate, char *why, size_t why_bytes);
    bool (*authorities)(struct config_tls_judge *judge, const char *ca_path, char *why,
                        size_t why_bytes);
    bool (*signing_key)(struct config_tls_judge *judge, const char *key_path, char *why,
                        size_t why_bytes); /* of DKIM */
};

/* This machine (getifaddrs). */
struct config_machine *config_machine_here(void);

struct config_load_options {
    uint64_t generation;
    struct config_machine *machine; /* NULL: its addresses are not known */
    struct config_tls_judge *judge; /* NULL: certificates only have to be readable */
    bool skip_files;                /* do not ask whether certificates and folders exist;
                                       what a policy is read from is read all the same */
    size_t bytes_max; /* of the settings, of the policies, of work space each; 0: the default */
};

/* STATUS_OK: *loaded_out is new and the caller's; problems may hold warnings. Anything else:
 * problems holds at least one error (and may be all there is to say). problems is initialised
 * by the caller and only added to. */
MUST_USE enum status config_load(const char *path, uint64_t generation,
                                 struct config_loaded **loaded_out,
                                 struct config_problems *problems);
MUST_USE enum status config_load_file(const char *path, const struct config_load_options *options,
                                      struct config_loaded **loaded_out,
                                      struct config_problems *problems);

/* From memory; name stands for the file in problems and its folder in relative paths. An
 * @include is refused, and so is a senders_file: no other file decides what is loaded. */
MUST_USE enum status config_load_text(const char *name, const char *text,
                                      const struct config_load_options *options,
                                      struct config_loaded **loaded_out,
                                      struct config_problems *problems);

/* The key that says this field of a mail flow policy (enum policy_flow_field). */
const char *config_flow_key(unsigned field);

/* The same of a destination. */
const char *config_destination_key(enum policy_destination_field field);

void config_loaded_destroy(struct config_loaded *loaded); /* accepts NULL */
