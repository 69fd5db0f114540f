# SPDX-License-Identifier: Apache-2.0
# Every library Holdfast links, as one imported target each (hf::NAME). All come from Debian;
# tools/setup installs them. Nothing is vendored.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)

# hf_library(NAME header library...): an imported target for a library without a usable .pc file.
function(hf_library name header)
    find_path(HF_${name}_INCLUDE ${header})
    if(NOT HF_${name}_INCLUDE)
        message(FATAL_ERROR "${header} not found (library ${name}): run tools/setup")
    endif()
    add_library(hf::${name} INTERFACE IMPORTED)
    target_include_directories(hf::${name} SYSTEM INTERFACE ${HF_${name}_INCLUDE})
    foreach(lib IN LISTS ARGN)
        find_library(HF_${name}_${lib} ${lib})
        if(NOT HF_${name}_${lib})
            message(FATAL_ERROR "lib${lib} not found (library ${name}): run tools/setup")
        endif()
        target_link_libraries(hf::${name} INTERFACE ${HF_${name}_${lib}})
    endforeach()
endfunction()

# libraft before 0.22.1 has no sound raft_step: Debian 12's own 0.15.0 loses committed entries.
pkg_check_modules(RAFT raft)
if(NOT RAFT_FOUND OR RAFT_VERSION VERSION_LESS 0.22.1)
    message(FATAL_ERROR
        "libraft >= 0.22.1 is required (found: '${RAFT_VERSION}'). Older engines lose committed "
        "entries. It is in Debian 13, and in bookworm-backports for Debian 12: run tools/setup, "
        "which adds that suite pinned to libraft0 and libraft-dev only.")
endif()
hf_library(raft raft.h raft)
hf_library(lmdb lmdb.h lmdb)
hf_library(bearssl bearssl.h bearssl)
hf_library(nettle nettle/sha2.h nettle)
hf_library(uv uv.h uv)
hf_library(llhttp llhttp.h llhttp)
hf_library(yyjson yyjson.h yyjson)
hf_library(curl curl/curl.h curl)
hf_library(inih ini.h inih)
hf_library(zstd zstd.h zstd)
hf_library(mbedtls mbedtls/x509_crt.h mbedtls mbedx509 mbedcrypto)
# msgpack-c is header-only for packing; its library's name differs between Debian 12 and 13.
find_path(HF_msgpack_INCLUDE msgpack.h)
find_library(HF_msgpack_LIBRARY NAMES msgpackc msgpack-c)
if(NOT HF_msgpack_INCLUDE OR NOT HF_msgpack_LIBRARY)
    message(FATAL_ERROR "msgpack.h or libmsgpackc not found: run tools/setup")
endif()
add_library(hf::msgpack INTERFACE IMPORTED)
target_include_directories(hf::msgpack SYSTEM INTERFACE ${HF_msgpack_INCLUDE})
target_link_libraries(hf::msgpack INTERFACE ${HF_msgpack_LIBRARY})
if(HOLDFAST_TESTS)
    hf_library(cmocka cmocka.h cmocka)
endif()
