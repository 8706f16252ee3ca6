#include "cli/group.h"

#include <stdio.h>
#include <string.h>

#include "cli/options.h"

#define NAMES_MAX 256

/* "list|show|hold" */
static const char *names_of(const struct cli_group *group, const char *between,
                            char text[static NAMES_MAX])
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < group->parts_count && used < NAMES_MAX; i++)
        used += (size_t)snprintf(text + used, NAMES_MAX - used, "%s%s", i > 0 ? between : "",
                                 group->parts[i].name);
    ASSERT(used < NAMES_MAX);
    return text;
}

static void print_parts(const struct cli_group *group, FILE *to)
{
    for (size_t i = 0; i < group->parts_count; i++)
        fprintf(to, "  %-12s %s\n", group->parts[i].name, group->parts[i].summary);
}

static int print_help(const struct cli_group *group)
{
    char names[NAMES_MAX];

    printf("usage: postern %s %s ...\n\n", group->name, names_of(group, "|", names));
    print_parts(group, stdout);
    printf("\n%s%spostern %s COMMAND --help tells about one of them.\n", group->about,
           group->about[0] != '\0' ? "\n" : "", group->name);
    return cli_finish(CLI_EXIT_OK);
}

int cli_group_run(const struct cli_group *group, int argc, char **argv)
{
    char names[NAMES_MAX];
    int code;

    if (argc < 2) {
        code = cli_misuse(group->name, "%s is missing", names_of(group, "|", names));
        fputc('\n', stderr);
        print_parts(group, stderr);
        return code;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help(group);
    for (size_t i = 0; i < group->parts_count; i++)
        if (strcmp(argv[1], group->parts[i].name) == 0)
            return group->parts[i].run(argc - 1, argv + 1);
    return cli_misuse(group->name, "\"%s\" is none of %s", argv[1], names_of(group, ", ", names));
}
