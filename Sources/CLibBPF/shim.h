/* libbpf for Swift: the headers alone. LIBBPF_OPTS does not import: callers set `sz` themselves. */
#pragma once
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
