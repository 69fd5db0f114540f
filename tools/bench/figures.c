/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/figures.h"

#include "proto/text.h"

#include <curl/curl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

#ifndef HOLDFAST_VERSION
#define HOLDFAST_VERSION "?"
#endif

struct figures *figures_new(const char *unit)
{
    struct figures *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->unit = unit;
    for (int i = 0; i < FIGURES_LATENCIES; i++)
        histogram_init(&f->latency[i].h);
    return f;
}

void figures_count(struct figures *f, const char *name, uint64_t n)
{
    if (n == 0)
        return;
    for (unsigned i = 0; i < f->counts; i++)
        if (strcmp(f->count[i].name, name) == 0) {
            f->count[i].n += n;
            return;
        }
    if (f->counts == FIGURES_COUNTS)
        return;
    struct figures_count *c = &f->count[f->counts++];
    (void)snprintf(c->name, sizeof c->name, "%s", name);
    c->n = n;
}

static void cpu_model(char *out, size_t cap)
{
    char line[256];
    (void)snprintf(out, cap, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f)
        return;
    while (fgets(line, sizeof line, f)) {
        char *at = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !at)
            continue;
        line[strcspn(line, "\n")] = '\0';
        (void)snprintf(out, cap, "%s", at + 2);
        break;
    }
    (void)fclose(f);
}

static const double parts[] = {0.5, 0.9, 0.99, 0.999};
static const char *const part_names[] = {"p50", "p90", "p99", "p999"};
enum { PARTS = sizeof parts / sizeof *parts };

/* ---- JSON ---- */

static void put_string(const char *name, const char *s)
{
    char b[1024];
    struct proto_text t = proto_text_over(b, sizeof b);
    proto_text_json(&t, proto_str_of(s));
    (void)printf("\"%s\":%s", name, t.full ? "\"\"" : b);
}

static void put_machine(void)
{
    struct utsname u;
    char cpu[200];
    cpu_model(cpu, sizeof cpu);
    (void)printf("\"machine\":{");
    put_string("cpu", cpu);
    (void)printf(",\"cores\":%ld,\"memory_mib\":%lld", sysconf(_SC_NPROCESSORS_ONLN),
                 (long long)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) / (1 << 20));
    if (uname(&u) == 0) {
        (void)putchar(',');
        put_string("kernel", u.release);
    }
    (void)printf("},\"versions\":{");
    put_string("holdfast", HOLDFAST_VERSION);
    (void)putchar(',');
    put_string("compiler", __VERSION__);
    (void)putchar(',');
    put_string("libuv", uv_version_string());
    (void)putchar(',');
    put_string("curl", curl_version_info(CURLVERSION_NOW)->version);
    (void)putchar('}');
}

static void put_settings(const struct bench_options *o)
{
    (void)printf("\"settings\":{\"clients\":%u,\"threads\":%u,\"rate\":%.1f,\"open_loop\":%s,"
                 "\"seconds\":%.1f,\"warmup\":%.1f",
                 o->clients, o->threads, o->rate, o->rate > 0 ? "true" : "false", o->seconds,
                 o->warmup);
    if (o->mode == BENCH_HTTP || o->mode == BENCH_STREAMS) {
        (void)printf(",\"stream\":%s,", o->stream ? "true" : "false");
        if (o->mode == BENCH_STREAMS)
            (void)printf("\"interval_ms\":%u,", o->interval_ms);
        put_string("url", o->url);
    } else {
        (void)printf(",\"orgs\":%u,\"keys_per_org\":%u,\"in_flight\":%u", o->orgs, o->keys_per_org,
                     o->in_flight);
    }
    (void)putchar(',');
    put_string("model", o->model);
    (void)putchar('}');
}

static void put_latency(const struct figures_latency *l)
{
    (void)printf("\"%s\":{\"n\":%" PRIu64 ",\"mean\":%.1f,\"min\":%.1f", l->name, l->h.n,
                 histogram_mean(&l->h) / 1e3, l->h.n ? (double)l->h.min / 1e3 : 0.0);
    for (unsigned i = 0; i < PARTS; i++)
        (void)printf(",\"%s\":%.1f", part_names[i], (double)histogram_at(&l->h, parts[i]) / 1e3);
    (void)printf(",\"max\":%.1f}", (double)l->h.max / 1e3);
}

/* Of the whole run, warm-up and set-up included. */
static double own_cpu_seconds(void)
{
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0)
        return 0;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void print_json(const struct figures *f, const struct bench_options *o)
{
    static const char *const modes[] = {
        [BENCH_LEDGER] = "ledger",
        [BENCH_HTTP] = "http",
        [BENCH_STREAMS] = "streams",
        [BENCH_PREPARE] = "prepare",
    };
    (void)printf("{\"mode\":\"%s\",", modes[o->mode]);
    put_machine();
    (void)putchar(',');
    put_settings(o);
    (void)printf(",\"begun\":%" PRIu64 ",\"%s\":%" PRIu64 ",\"seconds\":%.3f,\"per_second\":%.1f,"
                 "\"longest_gap_ms\":%.1f,\"cpu_seconds\":%.3f,\"latency_us\":{",
                 f->begun, f->unit, f->done, f->seconds, (double)f->done / f->seconds,
                 (double)f->longest_gap_ns / 1e6, own_cpu_seconds());
    for (int i = 0; i < FIGURES_LATENCIES && f->latency[i].name; i++) {
        if (i > 0)
            (void)putchar(',');
        put_latency(&f->latency[i]);
    }
    (void)printf("},\"counts\":{");
    for (unsigned i = 0; i < f->counts; i++)
        (void)printf("%s\"%s\":%" PRIu64, i ? "," : "", f->count[i].name, f->count[i].n);
    (void)printf("}}\n");
}

/* ---- text ---- */

static void print_text(const struct figures *f, const struct bench_options *o)
{
    char cpu[200];
    cpu_model(cpu, sizeof cpu);
    (void)printf("%s, %ld cores; %s loop, %u client%s, %u thread%s", cpu,
                 sysconf(_SC_NPROCESSORS_ONLN), o->rate > 0 ? "open" : "closed", o->clients,
                 o->clients == 1 ? "" : "s", o->threads, o->threads == 1 ? "" : "s");
    if (o->rate > 0)
        (void)printf(", %.0f/s offered", o->rate);
    (void)printf("\n%" PRIu64 " %s in %.1f s: %.0f/s; longest gap %.1f ms\n\n", f->done, f->unit,
                 f->seconds, (double)f->done / f->seconds, (double)f->longest_gap_ns / 1e6);
    (void)printf("%-12s %10s %10s %10s %10s %10s %10s\n", "latency, ms", "mean", "p50", "p90",
                 "p99", "p99.9", "max");
    for (int i = 0; i < FIGURES_LATENCIES && f->latency[i].name; i++) {
        const struct histogram *h = &f->latency[i].h;
        (void)printf("%-12s %10.3f", f->latency[i].name, histogram_mean(h) / 1e6);
        for (unsigned p = 0; p < PARTS; p++)
            (void)printf(" %10.3f", (double)histogram_at(h, parts[p]) / 1e6);
        (void)printf(" %10.3f\n", (double)h->max / 1e6);
    }
    for (unsigned i = 0; i < f->counts; i++)
        (void)printf("%s%-40s %" PRIu64 "\n", i ? "" : "\n", f->count[i].name, f->count[i].n);
}

void figures_print(const struct figures *f, const struct bench_options *o)
{
    if (o->json)
        print_json(f, o);
    else
        print_text(f, o);
}
