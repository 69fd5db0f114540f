/* SPDX-License-Identifier: Apache-2.0
 * holdfast-replay: proves what a ledger node's directory says. The scan runs in a forked child,
 * because LMDB may fault on damaged pages; the parent reads nothing, and turns the child's death by
 * a signal into "damaged at or after entry N", exit 1.
 */
#include "tools/replay/report.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int replay_fail(struct replay_verdict *v, enum replay_exit exit, uint64_t index, const char *format,
                ...)
{
    if (v->set)
        return (int)v->exit;
    va_list args;
    va_start(args, format);
    (void)vsnprintf(v->text, sizeof v->text, format, args);
    va_end(args);
    v->set = true;
    v->exit = exit;
    v->index = index;
    return (int)exit;
}

static int scan(const struct replay_options *o, struct replay_board *board)
{
    static struct replay r; /* large: off the stack */
    static char out[1 << 16];
    (void)setvbuf(stdout, out, _IOFBF, sizeof out);
    int code = replay_run(&r, o, board);
    bool opened = r.machine != NULL;
    if (!opened)
        report_verdict(o, &r.verdict);
    else if (o->json)
        report_json(&r);
    else
        report_text(&r);
    if (opened && code != REPLAY_PROVEN)
        (void)fprintf(stderr, "holdfast-replay: %s\n", r.verdict.text);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        (void)fprintf(stderr, "holdfast-replay: cannot write the report: %s\n", strerror(errno));
        code = REPLAY_UNUSABLE;
    }
    replay_close(&r);
    return code;
}

/* The child died of a signal. */
static int judge_death(const struct replay_options *o, const struct replay_board *board, int signal)
{
    struct replay_verdict v = {0};
    uint64_t index = board->index;
    bool damage = signal == SIGSEGV || signal == SIGBUS || signal == SIGABRT || signal == SIGFPE ||
                  signal == SIGILL;
    if (!damage)
        (void)replay_fail(&v, REPLAY_UNUSABLE, 0, "the scan was ended by signal %d", signal);
    else if (board->phase == REPLAY_COMPARING || board->phase == REPLAY_DONE)
        (void)replay_fail(
            &v, REPLAY_MISMATCH, 0,
            "damaged: the state's pages cannot be read (compared at entry %" PRIu64 ")", index);
    else if (board->phase == REPLAY_OPENING)
        (void)replay_fail(&v, REPLAY_MISMATCH, 0,
                          "damaged: the directory's files fault when they are opened");
    else
        (void)replay_fail(&v, REPLAY_MISMATCH, index + 1,
                          "damaged at or after entry %" PRIu64
                          ": the log's or the state's pages cannot be read",
                          index + 1);
    report_verdict(o, &v);
    return (int)v.exit;
}

int main(int argc, char **argv)
{
    struct replay_options o;
    switch (replay_options_parse(&o, argc, argv)) {
    case REPLAY_HELP:
        return REPLAY_PROVEN;
    case REPLAY_BAD:
        return REPLAY_UNUSABLE;
    case REPLAY_PARSED:
        break;
    }
    struct replay_board *board =
        mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = board == MAP_FAILED ? -1 : fork();
    if (child < 0) {
        (void)fprintf(stderr, "holdfast-replay: cannot start the scan: %s\n", strerror(errno));
        return REPLAY_UNUSABLE;
    }
    if (child == 0) {
        struct rlimit none = {0, 0}; /* a fault here is a finding, not a crash to keep */
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        exit(scan(&o, board));
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return REPLAY_UNUSABLE;
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE)
        return REPLAY_UNUSABLE; /* nobody reads the report */
    if (WIFSIGNALED(status))
        return judge_death(&o, board, WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : REPLAY_UNUSABLE;
}
