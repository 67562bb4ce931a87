/* zlib for Swift: the header alone. */
#pragma once
#include <zlib.h>
