/* SPDX-License-Identifier: Apache-2.0
 * Private to the edge's configuration: the parts of the file that have a source file of their own.
 * All return 0 or a negative errno with the cause in error.
 */
#ifndef HOLDFAST_EDGE_CONFIG_SECTIONS_H
#define HOLDFAST_EDGE_CONFIG_SECTIONS_H

#include "edge/config.h"

/* upstream/config_provider.c */
__attribute__((warn_unused_result)) int edge_config_providers(struct base_conf *conf,
                                                              struct edge_config *c, char *error);
__attribute__((warn_unused_result)) int edge_config_routes(struct base_conf *conf,
                                                           struct edge_config *c, char *error);
void edge_config_provider_close(struct edge_provider *provider); /* wipes the key */

#endif
