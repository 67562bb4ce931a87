/* Zstandard for Swift: the header alone. */
#pragma once
#include <zstd.h>
