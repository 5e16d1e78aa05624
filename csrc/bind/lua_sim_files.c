#include "bind/lua_sim_files.h"

#include <string.h>

#include "bind/lua_guard.h"
#include "bind/lua_handle.h"
#include "bind/lua_result.h"
#include "bind/lua_sim.h"
#include "disk/disk.h"
#include "disk/sim_file.h"

#define DIRECTORY_NAME "bitcask simulated directory"
#define FILE_NAME "bitcask simulated file"

struct lua_directory {
  struct disk_directory *directory;
};

struct lua_file {
  struct disk_file *file; /* NULL: closed */
};

static int done_or_failure(lua_State *L, enum bitcask_status status) {
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushboolean(L, true);
  return 1;
}

/* ---- Directories ---- */

/* (disk, path) -> directory: made, and durable, where there is none */
static int disk_directory(lua_State *L) {
  struct disk *disk = lua_sim_test(L, 1);
  luaL_argexpected(L, disk != NULL, 1, "bitcask simulated disk");
  const char *path = luaL_checkstring(L, 2);
  struct lua_directory *handle = lua_newuserdatauv(L, sizeof *handle, 0);
  handle->directory = NULL;
  luaL_setmetatable(L, DIRECTORY_NAME);
  enum bitcask_status status = disk->ops->open_directory(disk, path, true, &handle->directory);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static struct disk_directory *check_directory(lua_State *L) {
  struct lua_directory *handle = lua_handle_self(L, DIRECTORY_NAME);
  luaL_argcheck(L, handle->directory != NULL, 1, "a directory that is gone");
  return handle->directory;
}

static int directory_gc(lua_State *L) {
  struct lua_directory *handle = luaL_checkudata(L, 1, DIRECTORY_NAME);
  if (handle->directory != NULL) handle->directory->ops->close(handle->directory);
  handle->directory = NULL;
  return 0;
}

static const char *check_name(lua_State *L, int arg) {
  size_t size = 0;
  const char *name = luaL_checklstring(L, arg, &size);
  bool is_plain = size > 0 && size < SIM_NAME_SIZE && memchr(name, '\0', size) == NULL &&
                  strchr(name, '/') == NULL;
  luaL_argcheck(L, is_plain, arg, "a plain name of 1 to 63 bytes expected");
  return name;
}

/* The userdata comes first: if Lua runs out of memory, nothing is lost. */
static struct lua_file *push_file(lua_State *L) {
  struct lua_file *handle = lua_newuserdatauv(L, sizeof *handle, 1);
  handle->file = NULL;
  lua_pushvalue(L, 1);
  lua_setiuservalue(L, -2, 1);
  luaL_setmetatable(L, FILE_NAME);
  return handle;
}

/* (directory, name) -> file: new and empty */
static int directory_create(lua_State *L) {
  struct disk_directory *directory = check_directory(L);
  const char *name = check_name(L, 2);
  struct lua_file *handle = push_file(L);
  enum bitcask_status status = directory->ops->create(directory, name, 0, &handle->file);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (directory, name) -> file, to be read and written. It is opened as one that grows, which
 * is never mapped: what reads do is seen by the disk. */
static int directory_open(lua_State *L) {
  struct disk_directory *directory = check_directory(L);
  const char *name = check_name(L, 2);
  struct lua_file *handle = push_file(L);
  enum bitcask_status status = directory->ops->open(directory, name, true, &handle->file);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (directory, name) */
static int directory_remove(lua_State *L) {
  struct disk_directory *directory = check_directory(L);
  return done_or_failure(L, directory->ops->remove(directory, check_name(L, 2)));
}

/* (directory, from, to): what had the name `to` is gone */
static int directory_rename(lua_State *L) {
  struct disk_directory *directory = check_directory(L);
  const char *from = check_name(L, 2), *to = check_name(L, 3);
  return done_or_failure(L, directory->ops->rename(directory, from, to));
}

static int directory_sync(lua_State *L) {
  struct disk_directory *directory = check_directory(L);
  return done_or_failure(L, directory->ops->sync(directory));
}

static void release_buffer(void *bytes) { bitcask_buffer_release(bytes); }

struct names {
  struct bitcask_buffer buffer; /* comes first: the guard releases it */
  enum bitcask_status status;
};

static void add_name(void *context, const char *name) {
  struct names *names = context;
  if (names->status == BITCASK_OK)
    names->status = buffer_append(&names->buffer, bytes_of(name, strlen(name) + 1));
}

/* (directory) -> names, in no order */
static int directory_list(lua_State *L) {
  struct disk_directory *directory = check_directory(L);
  struct names *names = lua_guard_push(L, sizeof *names, release_buffer);
  enum bitcask_status status = directory->ops->list(directory, add_name, names);
  if (status == BITCASK_OK) status = names->status;
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_newtable(L);
  const char *text = names->buffer.data;
  for (size_t at = 0, i = 1; at < names->buffer.size; at += strlen(text + at) + 1, i++) {
    lua_pushstring(L, text + at);
    lua_rawseti(L, -2, (lua_Integer)i);
  }
  lua_guard_release(names);
  return 1;
}

/* ---- Files ---- */

static struct disk_file *check_file(lua_State *L) {
  struct lua_file *handle = lua_handle_self(L, FILE_NAME);
  luaL_argcheck(L, handle->file != NULL, 1, "a closed file");
  return handle->file;
}

/* A length or an offset: no file is as long as this. */
static uint64_t check_place(lua_State *L, int arg) {
  lua_Integer place = luaL_checkinteger(L, arg);
  luaL_argcheck(L, place >= 0 && place <= UINT32_MAX, arg, "0 to 2^32 - 1 expected");
  return (uint64_t)place;
}

/* (file, bytes) -> where they stand */
static int file_append(lua_State *L) {
  struct disk_file *file = check_file(L);
  bitcask_bytes bytes = lua_result_check_bytes(L, 2);
  uint64_t start = disk_file_size(file);
  enum bitcask_status status = file->ops->append(file, &bytes, 1, 0);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  lua_pushinteger(L, (lua_Integer)start);
  return 1;
}

/* (file, offset, bytes) */
static int file_write_at(lua_State *L) {
  struct disk_file *file = check_file(L);
  uint64_t offset = check_place(L, 2);
  return done_or_failure(L, sim_file_write_at(file, offset, lua_result_check_bytes(L, 3)));
}

/* (file, offset, size) -> bytes; fewer, or none, at the end of the file */
static int file_read(lua_State *L) {
  struct disk_file *file = check_file(L);
  uint64_t offset = luaL_opt(L, check_place, 2, 0);
  uint64_t length = sim_file_length(file), there = offset < length ? length - offset : 0;
  uint64_t size = luaL_opt(L, check_place, 3, there);
  if (size > there) size = there;
  luaL_Buffer buffer;
  char *into = luaL_buffinitsize(L, &buffer, (size_t)size);
  size_t got = 0;
  enum bitcask_status status = file->ops->read_at(file, offset, into, (size_t)size, &got);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  luaL_pushresultsize(&buffer, got);
  return 1;
}

static int file_size(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)sim_file_length(check_file(L)));
  return 1;
}

static int file_sync(lua_State *L) {
  struct disk_file *file = check_file(L);
  return done_or_failure(L, file->ops->sync(file));
}

/* (file, length) */
static int file_cut(lua_State *L) {
  struct disk_file *file = check_file(L);
  return done_or_failure(L, sim_file_cut(file, check_place(L, 2)));
}

/* Closing twice is fine. */
static int file_close(lua_State *L) {
  struct lua_file *handle = lua_handle_self(L, FILE_NAME);
  disk_file_close(handle->file);
  handle->file = NULL;
  lua_pushboolean(L, true);
  return 1;
}

/* ---- Registration ---- */

static void register_type(lua_State *L, const char *name, const luaL_Reg *metamethods,
                          const luaL_Reg *methods) {
  lua_handle_new_type(L, name, metamethods);
  lua_handle_push_functions(L, methods);
  lua_setfield(L, -2, "__index");
  lua_pop(L, 1);
}

static void register_directories(lua_State *L) {
  static const luaL_Reg metamethods[] = {{"__gc", directory_gc}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"create", directory_create}, {"open", directory_open}, {"remove", directory_remove},
      {"rename", directory_rename}, {"sync", directory_sync}, {"list", directory_list},
      {NULL, NULL}};
  register_type(L, DIRECTORY_NAME, metamethods, methods);
}

static void register_files(lua_State *L) {
  static const luaL_Reg metamethods[] = {
      {"__gc", file_close}, {"__close", file_close}, {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"append", file_append}, {"write_at", file_write_at}, {"read", file_read},
      {"size", file_size},     {"sync", file_sync},         {"cut", file_cut},
      {"close", file_close},   {NULL, NULL}};
  register_type(L, FILE_NAME, metamethods, methods);
}

void lua_sim_files_register(lua_State *L) {
  register_directories(L);
  register_files(L);
  lua_getfield(L, -1, "methods");
  lua_pushcfunction(L, disk_directory);
  lua_setfield(L, -2, "directory");
  lua_pop(L, 1);
}
