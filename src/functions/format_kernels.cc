#include "rustbd/functions/kernel_table.h"
namespace rustbd::functions {
void register_format_kernels(KernelTable&) {}
}  // namespace rustbd::functions
