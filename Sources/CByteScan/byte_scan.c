#include "byte_scan.h"

/* The module is its header; a target needs a source. */
_Static_assert(sizeof(bytescan_vector) == 16, "a vector is 16 bytes");
