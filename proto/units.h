/* SPDX-License-Identifier: Apache-2.0
 * What a provider bills: unit kinds and service classes. Numbers stand in the log: never reuse one.
 *
 * The units of one call are disjoint: `input` is the text input that is neither cached nor audio
 * nor image, and so on. A unit without a price of its own in the catalogue is billed at the price
 * of its `fallback` unit (chain until one has a price); a unit that is its own fallback and has no
 * price costs nothing.
 */
#ifndef HOLDFAST_PROTO_UNITS_H
#define HOLDFAST_PROTO_UNITS_H

/* X(number, name, fallback, is_input): is_input counts towards a tier's threshold. */
#define PROTO_UNITS(X)                                                                             \
    X(0, input, input, 1)                                                                          \
    X(1, output, output, 0)                                                                        \
    X(2, cache_read, input, 1)                                                                     \
    X(3, cache_write, input, 1)                                                                    \
    X(4, cache_write_1h, cache_write, 1)                                                           \
    X(5, audio_input, input, 1)                                                                    \
    X(6, audio_output, output, 0)                                                                  \
    X(7, audio_cache_read, cache_read, 1)                                                          \
    X(8, image_input, input, 1)                                                                    \
    X(9, image_output, output, 0)                                                                  \
    X(10, reasoning, output, 0)                                                                    \
    X(11, request, request, 0)                                                                     \
    X(12, web_search, web_search, 0)                                                               \
    X(13, image, image, 0)                                                                         \
    X(14, second, second, 0)                                                                       \
    X(15, character, character, 0)

enum proto_unit {
#define X(number, name, fallback, is_input) PROTO_UNIT_##name = number,
    PROTO_UNITS(X)
#undef X
        PROTO_UNIT_COUNT = 16
};

/* Price classes of one model: what the provider calls the service tier. */
enum proto_class {
    PROTO_CLASS_standard = 0,
    PROTO_CLASS_priority = 1,
    PROTO_CLASS_flex = 2,
    PROTO_CLASS_batch = 3,
    PROTO_CLASS_COUNT = 4
};

#endif
