/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/metrics/process.h"

#include "proto/base/log.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* When /proc/self/stat says that the process began, in seconds since 1970. 0: not known. */
static int64_t start_time_s(void)
{
    unsigned long long ticks = 0;
    struct timespec real, boot;
    FILE *f = fopen("/proc/self/stat", "re");
    if (f == NULL)
        return 0;
    /* The name, in parentheses, is ours: without blanks. */
    int got = fscanf(f,
                     "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                     "%*d %*d %llu",
                     &ticks);
    fclose(f);
    long hz = sysconf(_SC_CLK_TCK);
    if (got != 1 || hz <= 0)
        return 0;
    clock_gettime(CLOCK_REALTIME, &real);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (int64_t)real.tv_sec - (int64_t)boot.tv_sec + (int64_t)(ticks / (unsigned long)hz);
}

static int64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f == NULL)
        return -1;
    int got = fscanf(f, "%*u %llu", &pages);
    fclose(f);
    long page = sysconf(_SC_PAGESIZE);
    return got == 1 && page > 0 ? (int64_t)pages * page : -1;
}

static int64_t open_descriptors(void)
{
    int64_t n = -3; /* ".", "..", and the one that is reading */
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL)
        return -1;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n;
}

static int64_t cpu_us(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

void metrics_process(struct metrics_text *t, const char *program, const char *version)
{
    const struct metrics_label build[] = {{"program", program}, {"version", version}, {NULL, NULL}};
    struct rlimit files;
    int64_t n;
    metrics_family(t, "holdfast_build_info", METRICS_GAUGE, "Always 1; the labels tell the build.");
    metrics_sample(t, "holdfast_build_info", build, 1);
    metrics_one(t, "holdfast_log_suppressed_total", METRICS_COUNTER,
                "Log lines left out because their cause had had its line of that second.",
                (int64_t)base_log_suppressed());
    metrics_family(t, "process_cpu_seconds_total", METRICS_COUNTER,
                   "User and system CPU time spent in seconds.");
    metrics_sample_scaled(t, "process_cpu_seconds_total", NULL, cpu_us(), 6);
    if ((n = start_time_s()) > 0)
        metrics_one(t, "process_start_time_seconds", METRICS_GAUGE,
                    "Start time of the process since unix epoch in seconds.", n);
    if ((n = resident_bytes()) >= 0)
        metrics_one(t, "process_resident_memory_bytes", METRICS_GAUGE,
                    "Resident memory size in bytes.", n);
    if ((n = open_descriptors()) >= 0)
        metrics_one(t, "process_open_fds", METRICS_GAUGE, "Number of open file descriptors.", n);
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        metrics_one(t, "process_max_fds", METRICS_GAUGE, "Maximum number of open file descriptors.",
                    files.rlim_cur > INT64_MAX ? INT64_MAX : (int64_t)files.rlim_cur);
}
