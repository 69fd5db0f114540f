/* SPDX-License-Identifier: Apache-2.0
 * Runs a fuzz target without libFuzzer, so that every build and sanitizer can: each kept input,
 * then ROUNDS mutations of each, from a fixed seed (the same on every run). A failing input is
 * written beside the working directory and named. fuzzcase-NAME FOLDER|FILE [ROUNDS]
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fcntl.h>

enum { INPUT_MAX = 1 << 20, EDITS_MAX = 8 };

static uint8_t input[INPUT_MAX];
static size_t input_n;
static uint64_t seed = UINT64_C(0x9e3779b97f4a7c15);
static unsigned long runs;

static uint64_t draw(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Async-signal-safe: keeps the input, then lets the signal do what it does. */
static void on_abort(int number)
{
    int fd = open("fuzz-failure", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd >= 0) {
        ssize_t written = write(fd, input, input_n);
        (void)written;
        (void)close(fd);
    }
    static const char text[] = "the input is kept as ./fuzz-failure\n";
    ssize_t told = write(STDERR_FILENO, text, sizeof text - 1);
    (void)told;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

static void mutate(void)
{
    static const uint8_t strange[] = {0x00, 0x01, 0x7f, 0x80, 0x90, 0xc4, 0xff};
    for (uint64_t edits = 1 + draw() % EDITS_MAX; edits > 0 && input_n > 0; edits--) {
        const size_t at = draw() % input_n;
        const size_t left = input_n - at, n = 1 + draw() % (left < 16 ? left : 16);
        switch (draw() % 5) {
        case 0:
            input[at] ^= (uint8_t)(1U << draw() % 8);
            break;
        case 1:
            input[at] = strange[draw() % sizeof strange];
            break;
        case 2: /* cut out */
            memmove(input + at, input + at + n, left - n);
            input_n -= n;
            break;
        case 3: /* twice */
            if (input_n + n <= INPUT_MAX) {
                memmove(input + at + n, input + at, left);
                input_n += n;
            }
            break;
        default:
            input_n = at;
        }
    }
}

static void run_input(void)
{
    uint8_t *exact = fuzz_copy(input, input_n);
    (void)LLVMFuzzerTestOneInput(exact, input_n);
    free(exact);
    runs++;
}

static void run_file(const char *path, unsigned long rounds)
{
    static uint8_t kept[INPUT_MAX];
    FILE *f = fopen(path, "rb");
    FUZZ_HOLDS(f);
    const size_t n = fread(kept, 1, sizeof kept, f);
    (void)fclose(f);
    for (unsigned long i = 0; i <= rounds; i++) {
        memcpy(input, kept, n);
        input_n = n;
        if (i > 0)
            mutate();
        run_input();
    }
}

int main(int argc, char **argv)
{
    struct stat st;
    const unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    if (argc < 2 || stat(argv[1], &st) != 0) {
        (void)fprintf(stderr, "usage: %s FOLDER|FILE [ROUNDS]\n", argv[0]);
        return 2;
    }
    (void)signal(SIGABRT, on_abort);
    if (!S_ISDIR(st.st_mode)) {
        run_file(argv[1], rounds);
    } else {
        struct dirent **names = NULL;
        const int n = scandir(argv[1], &names, NULL, alphasort);
        for (int i = 0; i < n; i++) {
            char path[4096];
            (void)snprintf(path, sizeof path, "%s/%s", argv[1], names[i]->d_name);
            if (names[i]->d_name[0] != '.')
                run_file(path, rounds);
            free(names[i]);
        }
        free(names);
    }
    (void)printf("%lu runs\n", runs);
    return runs > 0 ? 0 : 1;
}
