/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/store/why.h"

#include <stdarg.h>
#include <stdio.h>

int store_why_set(struct store_why *why, int rv, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    (void)vsnprintf(why->text, sizeof why->text, format, ap);
    va_end(ap);
    return rv;
}
