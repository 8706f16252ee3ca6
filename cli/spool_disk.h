/* cli/spool_disk.h - what can be seen of the disk below a folder, and what it means for a spool.
 *
 *     facts (spool_disk_facts.c: asks the system), measures (spool_bench.h) -> judge -> findings
 *
 * Software sees what a device says of itself, how it is mounted, and how long a write takes. That a
 * device keeps its word it cannot see: only a power cut shows. So the best verdict is that
 * nothing speaks against it. Parsing and judging are pure.
 */
#pragma once
#include "base/slice.h"
#include "base/status.h"

#define CLI_DISK_DEVICES_MAX  16
#define CLI_DISK_NAME_MAX     64
#define CLI_DISK_OPTIONS_MAX  1024
#define CLI_DISK_FINDINGS_MAX 16

struct cli_mount {
    char type[CLI_DISK_NAME_MAX]; /* of the file system */
    char source[256];
    char options[CLI_DISK_OPTIONS_MAX]; /* of the mount and of the file system, with commas */
    unsigned major, minor;
};

/* A line of /proc/self/mountinfo. False: it is not the mount of this id. */
bool cli_mount_parse(struct slice line, uint64_t id, struct cli_mount *mount_out);

/* Whether it is mounted with this option: "nobarrier", "barrier=0". */
bool cli_mount_has(const struct cli_mount *mount, const char *option);

enum cli_disk_cache { CLI_DISK_CACHE_UNKNOWN, CLI_DISK_CACHE_THROUGH, CLI_DISK_CACHE_BACK };

struct cli_disk_device {
    char name[CLI_DISK_NAME_MAX]; /* "sda" */
    char model[CLI_DISK_NAME_MAX];
    enum cli_disk_cache cache; /* as the kernel believes: BACK is flushed at each sync */
    bool has_fua;              /* a write can be durable by itself, without a flush */
    bool is_rotating;
};

struct cli_disk_facts {
    struct cli_mount mount;
    struct cli_disk_device devices[CLI_DISK_DEVICES_MAX];
    size_t devices_count; /* 0: what is below cannot be seen */
};

/* Of the file system that holds the folder. */
MUST_USE enum status cli_disk_facts_read(int folder_fd, struct cli_disk_facts *facts_out);

struct cli_disk_measures {
    bool is_direct;          /* O_DIRECT and RWF_DSYNC work there */
    bool reads_back;         /* what was written is what is read */
    uint64_t durable_p50_us; /* of a synced write of 4 KiB */
    uint64_t plain_p50_us;   /* of the same, not synced; 0: not measured */
};

enum cli_disk_weight {
    CLI_DISK_NOTE,  /* good to know */
    CLI_DISK_DOUBT, /* may or may not be true: a person has to know */
    CLI_DISK_BAD    /* a message with a 250 can be lost here */
};

struct cli_disk_finding {
    enum cli_disk_weight weight;
    const char *text; /* a sentence or two, lives for ever */
};

struct cli_disk_verdict {
    struct cli_disk_finding findings[CLI_DISK_FINDINGS_MAX];
    size_t count;
    enum cli_disk_weight worst; /* NOTE also when there is none */
};

void cli_disk_judge(const struct cli_disk_facts *facts, const struct cli_disk_measures *measures,
                    struct cli_disk_verdict *verdict_out);
