/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/codes.h"

static const struct {
    const char *name, *type, *text;
    unsigned http;
} codes[PROTO_CODE_COUNT] = {
#define X(number, name, http, type, text) [number] = {#name, type, text, http},
    PROTO_CODES(X)
#undef X
};

const char *proto_code_name(unsigned code)
{
    return code < PROTO_CODE_COUNT ? codes[code].name : "?";
}
const char *proto_code_type(unsigned code)
{
    return code < PROTO_CODE_COUNT ? codes[code].type : "?";
}
const char *proto_code_text(unsigned code)
{
    return code < PROTO_CODE_COUNT ? codes[code].text : "?";
}
unsigned proto_code_http(unsigned code)
{
    return code < PROTO_CODE_COUNT ? codes[code].http : 500;
}
