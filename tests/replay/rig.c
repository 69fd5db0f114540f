/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/replay/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static const char *program;
const char *folder, *memory;
char sound[400], work[400];
struct fixture fixture;
char output[1 << 20];

int replay(const char *dir, const char *a, const char *b, const char *c, const char *d)
{
    char *argv[] = {(char *)(uintptr_t)program,
                    (char *)(uintptr_t) "--data",
                    (char *)(uintptr_t)dir,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL,
                    NULL};
    const char *more[] = {a, b, c, d};
    unsigned n = 3;
    if (memory) {
        argv[n++] = (char *)(uintptr_t) "--memory";
        argv[n++] = (char *)(uintptr_t)memory;
    }
    for (unsigned i = 0; i < 4 && more[i]; i++)
        argv[n++] = (char *)(uintptr_t)more[i];
    char out[500];
    posix_spawn_file_actions_t actions;
    pid_t pid;
    int status;
    (void)snprintf(out, sizeof out, "%s/output", folder);
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(
        posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, 1, 2), 0);
    assert_int_equal(posix_spawn(&pid, program, &actions, NULL, argv, environ), 0);
    (void)posix_spawn_file_actions_destroy(&actions);
    while (waitpid(pid, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    FILE *f = fopen(out, "re");
    assert_non_null(f);
    output[fread(output, 1, sizeof output - 1, f)] = '\0';
    (void)fclose(f);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int replay0(const char *dir)
{
    return replay(dir, NULL, NULL, NULL, NULL);
}

void expect_output(const char *text)
{
    if (!strstr(output, text))
        fail_msg("no \"%s\" in:\n%s", text, output);
}

struct damage_table table(const char *dir, const char *env, const char *name)
{
    struct damage_table t = {.table = name};
    (void)snprintf(t.path, sizeof t.path, "%s/%s", dir, env);
    return t;
}

int fresh_copy(void **state)
{
    (void)state;
    damage_copy(sound, work);
    return 0;
}

int drop_copy(void **state)
{
    (void)state;
    damage_remove(work);
    return 0;
}

bool rig_open(int argc, char **argv)
{
    static char pattern[300];
    const struct fixture_options o = {.rounds = 120, .per_entry = 4, .tail = 5};
    if (argc < 3)
        return false;
    program = argv[1];
    memory = getenv("REPLAY_MEMORY");
    (void)snprintf(pattern, sizeof pattern, "%s/replay-XXXXXX", argv[2]);
    folder = mkdtemp(pattern);
    if (!folder)
        return false;
    (void)snprintf(sound, sizeof sound, "%s/sound", folder);
    (void)snprintf(work, sizeof work, "%s/work", folder);
    fixture_make(sound, &o, &fixture);
    if (argc > 3)
        cmocka_set_test_filter(argv[3]);
    return true;
}

int rig_close(int failed)
{
    if (failed == 0)
        damage_remove(folder);
    return failed;
}
