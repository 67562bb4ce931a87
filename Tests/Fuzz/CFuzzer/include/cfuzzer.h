/* libFuzzer's entry point for programs with a main of their own. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerRunDriver(int *_Nonnull argc, char *_Nullable *_Nullable *_Nonnull argv,
                        int (*_Nonnull one_input)(const uint8_t *_Nullable data, size_t count));
