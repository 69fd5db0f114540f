/* SPDX-License-Identifier: Apache-2.0
 * A ledger inside the test's process: the real state machine, without log, quorum or network,
 * behind the ledger client's own functions (link_client_*), which this file defines. So an edge's
 * worker runs as it is, and the test decides when and how the ledger answers.
 *
 * One mutex guards everything; a test's thread and one worker's thread call.
 */
#ifndef HOLDFAST_TESTS_TEST_LEDGER_H
#define HOLDFAST_TESTS_TEST_LEDGER_H

#include "proto/budget.h"
#include "proto/command.h"
#include "proto/key.h"
#include "proto/price.h"
#include "proto/query.h"
#include "proto/result.h"

enum test_ledger_mode {
    TEST_LEDGER_WORKS,
    TEST_LEDGER_DOWN,    /* nothing reaches it: LINK_UNAVAILABLE */
    TEST_LEDGER_LOST,    /* it decides, and the answer is lost: LINK_UNKNOWN */
    TEST_LEDGER_SILENT,  /* commands wait until the mode changes */
    TEST_LEDGER_REFUSES, /* its node takes no such frame: LINK_REFUSED */
};

void test_ledger_open(void); /* genesis, one org with one team, nothing in it */
void test_ledger_close(void);

/* How commands of that kind fare from now on. */
void test_ledger_set_mode(unsigned kind, enum test_ledger_mode mode);

/* As the operator, in the org. Fails the test unless the code is OK. */
struct proto_result test_ledger_do(struct proto_command *command);
void test_ledger_deposit(int64_t nanos);
void test_ledger_pause(bool paused);
void test_ledger_allow(bool unpriced, bool unbounded);
/* Makes a key of the team; its text goes to key. Returns its number. */
uint32_t test_ledger_key(const char *label, const char *const *models, unsigned n_models,
                         char key[PROTO_KEY_TEXT_LEN + 1]);
void test_ledger_budget(unsigned scope, uint32_t subject, unsigned window, int64_t limit,
                        const char *label);
/* A new catalogue: input and output in nano-dollars per million tokens. */
struct test_price {
    const char *model;
    int64_t input, output, cached;
};
void test_ledger_prices(const struct test_price *prices, unsigned n);

/* What the org has. */
struct proto_org_row test_ledger_org(void);
/* The last settle or release command that was decided, and its result. */
struct proto_settle test_ledger_last_settle(void);
unsigned test_ledger_count(unsigned kind); /* commands of that kind decided so far */
unsigned test_ledger_refused(void);        /* by TEST_LEDGER_REFUSES */
/* Attribution of the last reserve. */
void test_ledger_last_reserve(char customer[PROTO_NAME_MAX + 1], char user[PROTO_NAME_MAX + 1],
                              struct proto_reserve *out);

#endif
