/* SPDX-License-Identifier: Apache-2.0
 * CHECK: a broken invariant of our own code prints and aborts, in release builds too.
 * Bytes from outside never reach a CHECK: they are refused with a code before.
 */
#ifndef HOLDFAST_BASE_CHECK_H
#define HOLDFAST_BASE_CHECK_H

_Noreturn void base_check_failed(const char *expr, const char *file, int line);

#define CHECK(expr)                                                                                \
    do {                                                                                           \
        if (__builtin_expect(!(expr), 0))                                                          \
            base_check_failed(#expr, __FILE__, __LINE__);                                          \
    } while (0)

#endif
