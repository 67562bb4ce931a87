/* nghttp2 for Swift: the header alone; every function used imports directly. */
#pragma once
#include <nghttp2/nghttp2.h>
