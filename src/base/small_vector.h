// SmallVector<T, N>: a vector whose first N elements take no allocation, for what is short nearly always and
// made anew for each statement.
#pragma once

#include <boost/container/small_vector.hpp>
#include <cstddef>

namespace rustbd {

template <class T, std::size_t N>
using SmallVector = boost::container::small_vector<T, N>;

}  // namespace rustbd
