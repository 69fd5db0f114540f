/* SPDX-License-Identifier: Apache-2.0
 * The one place that ends a process on a broken invariant. Uses write(2) and abort(3) only, so that
 * the pure core may link it.
 */
#include "proto/base/check.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(const char *s)
{
    if (write(STDERR_FILENO, s, strlen(s)) < 0)
        return; /* nothing left to tell anybody */
}

void base_check_failed(const char *expr, const char *file, int line)
{
    char digits[12];
    char *p = digits + sizeof digits - 1;
    *p = '\0';
    do {
        *--p = (char)('0' + line % 10);
        line /= 10;
    } while (line > 0);
    put("holdfast: CHECK failed: ");
    put(expr);
    put(" at ");
    put(file);
    put(":");
    put(p);
    put("\n");
    abort();
}
