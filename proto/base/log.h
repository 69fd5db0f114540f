/* SPDX-License-Identifier: Apache-2.0
 * Structured logs: one JSON object a line on stderr. Callers name the event and give typed fields;
 * secrets (API keys, tokens, provider keys, private keys) are never passed here.
 * Thread-safe: a line is written with one write(2). A line past 2 KiB is cut, still valid JSON.
 *
 * What somebody outside can cause as often as he likes (refused connections, malformed requests, a
 * provider's failures) is logged with base_log_seldom, so that nobody can fill a disk.
 */
#ifndef HOLDFAST_BASE_LOG_H
#define HOLDFAST_BASE_LOG_H

#include <stdint.h>

enum { BASE_LOG_CAUSES = 256 };

enum base_log_level { BASE_LOG_DEBUG, BASE_LOG_INFO, BASE_LOG_WARN, BASE_LOG_ERROR };

/* Name of the program as it stands in every line, and the least level written (default INFO). */
void base_log_open(const char *program, enum base_log_level least);

/* Fields are pairs of a name and a value, ended by NULL:
 *   base_log(BASE_LOG_INFO, "listening", BASE_S("address", addr), BASE_I("port", port), NULL);
 * A string value may be NULL (written as null). */
void base_log(enum base_log_level level, const char *event, ...) __attribute__((sentinel));

/* As base_log, at most once a second for each event and cause (a reason, a provider, a route; it
 * stands in the line); the next line of that cause has `suppressed`, how many were left out before
 * it. Causes past BASE_LOG_CAUSES share their limit with others. */
void base_log_seldom(enum base_log_level level, const char *event, const char *cause, ...)
    __attribute__((sentinel));
/* Lines left out so far, of all causes. */
uint64_t base_log_suppressed(void);

#define BASE_S(name, value) "s" name, (const char *)(value)
#define BASE_I(name, value) "i" name, (int64_t)(value)

#endif
