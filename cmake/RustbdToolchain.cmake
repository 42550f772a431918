# Compiler flags, ccache, linker and sanitizers: all that is the same for every layer.
find_program(CCACHE ccache)
if(CCACHE)
  # With precompiled headers ccache must be told that their content, not their time, counts.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# -fPIC for programs and -pthread for all: a precompiled header serves only files compiled with the same flags.
add_compile_options(-fPIC -pthread -Wall -Wextra -Wno-missing-field-initializers -fno-semantic-interposition)
# x86-64-v2 has the CRC-32C instruction and cmpxchg16b; wider vectors are chosen at run time (RUSTBD_MULTIVERSION).
add_compile_options(-march=x86-64-v2)
set(CMAKE_CXX_FLAGS_RELEASE "-O2 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O0 -g1")

if(RUSTBD_SANITIZE STREQUAL "address")
  add_compile_options(-O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
  add_compile_definitions(RUSTBD_ASAN=1)
elseif(RUSTBD_SANITIZE STREQUAL "thread")
  add_compile_options(-O1 -fsanitize=thread -fno-omit-frame-pointer -Wno-tsan)
  add_link_options(-fsanitize=thread)
  add_compile_definitions(RUSTBD_TSAN=1)
elseif(RUSTBD_SANITIZE)
  message(FATAL_ERROR "RUSTBD_SANITIZE is '${RUSTBD_SANITIZE}': empty, address or thread")
endif()

# Profile-guided optimisation. What no load of the training ran is compiled as in a release build.
if(RUSTBD_PROFILE STREQUAL "generate")
  add_compile_options(-fprofile-generate -fprofile-update=prefer-atomic)
  add_link_options(-fprofile-generate)
elseif(RUSTBD_PROFILE STREQUAL "use")
  add_compile_options(-fprofile-use -fprofile-partial-training -Wno-missing-profile)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  # With more inlined gcc 12 warns of paths that cannot be.
  add_compile_options(-Wno-stringop-overflow -Wno-stringop-overread -Wno-maybe-uninitialized)
elseif(RUSTBD_PROFILE)
  message(FATAL_ERROR "RUSTBD_PROFILE is '${RUSTBD_PROFILE}': empty, generate or use")
endif()
add_compile_definitions(RUSTBD_VERSION="${PROJECT_VERSION}")

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(fmt REQUIRED)
# A missing package stops here with the line that mends it.
function(rustbd_pkg name module)
  pkg_check_modules(${name} IMPORTED_TARGET ${module})
  if(NOT ${name}_FOUND)
    message(FATAL_ERROR "${module} not found: run scripts/install-dependencies build tests")
  endif()
endfunction()
