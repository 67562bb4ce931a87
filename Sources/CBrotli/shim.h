/* brotli for Swift: its two headers. */
#pragma once
#include <brotli/decode.h>
#include <brotli/encode.h>
