/* SPDX-License-Identifier: Apache-2.0
 * The reason for a refusal or failure, in words an operator can act on. Functions that take one
 * fill it whenever they return a negative code, and leave it alone otherwise.
 */
#ifndef HOLDFAST_LEDGER_WHY_H
#define HOLDFAST_LEDGER_WHY_H

struct store_why {
    char text[320];
};

/* Writes the text and returns rv. */
__attribute__((format(printf, 3, 4))) int store_why_set(struct store_why *why, int rv,
                                                        const char *format, ...);

#endif
