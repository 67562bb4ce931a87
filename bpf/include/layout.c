#include "mesh_maps.h"
