/* SPDX-License-Identifier: Apache-2.0
 * `holdfastctl certs`: makes the CAs and certificates of a cluster. Works on files alone, speaks
 * to no cluster. argv[0] is "certs", argv[1] the action.
 * Returns the process's exit status: 0 done, 2 usage or files; the cause is on stderr, with --json
 * on stdout.
 */
#ifndef HOLDFAST_CTL_CMD_CERTS_H
#define HOLDFAST_CTL_CMD_CERTS_H

int ctl_cmd_certs(int argc, char **argv) __attribute__((warn_unused_result));

#endif
