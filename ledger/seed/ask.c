/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/seed/ask.h"

PROTO_DEFINE(seed_ask)
PROTO_DEFINE(seed_answer)
