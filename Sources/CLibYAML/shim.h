/* libyaml for Swift: the header alone. */
#pragma once
#include <yaml.h>
