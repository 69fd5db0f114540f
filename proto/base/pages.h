/* SPDX-License-Identifier: Apache-2.0
 * A word to the kernel about large tables. It changes speed only: where it is refused, or not
 * known, nothing happens. Any thread.
 */
#ifndef HOLDFAST_PROTO_BASE_PAGES_H
#define HOLDFAST_PROTO_BASE_PAGES_H

#include <stddef.h>

/* The whole 2 MiB pages inside p[0..n), not yet written to, may be backed by such: random look-ups
 * in a table of many megabytes then need not miss the TLB every time. */
void base_pages_large(void *p, size_t n);

#endif
