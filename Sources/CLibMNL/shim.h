/*
 * libmnl for Swift. <netinet/in.h> comes first and <linux/netfilter.h> never: <linux/in.h> clashes
 * with the C library's own module.
 */
#pragma once
#include <netinet/in.h>
#include <libmnl/libmnl.h>
