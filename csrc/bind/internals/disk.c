/* disk/: directories and files of the real disk. */
#include "bind/internals/room.h"
#include "bind/lua_result.h"
#include "disk/disk.h"

/* ---- Disk: files ----------------------------------------------------------------- */

#define FILE_TYPE "bitcask.internals.file"
#define DIRECTORY_TYPE "bitcask.internals.directory"

static struct disk_file *check_file(lua_State *L) { return room_object(L, 1, FILE_TYPE); }

/* (headroom, part, ...) */
static int file_append(lua_State *L) {
  enum { PARTS_MAX = 1000 };
  bitcask_bytes parts[PARTS_MAX];
  struct disk_file *file = check_file(L);
  size_t headroom = (size_t)room_u64(L, 2);
  int count = lua_gettop(L) - 2;
  if (count > PARTS_MAX) return luaL_error(L, "more than %d parts", PARTS_MAX);
  for (int i = 0; i < count; i++) parts[i] = lua_result_check_bytes(L, i + 3);
  return room_status(L, file->ops->append(file, parts, (size_t)count, headroom));
}

/* (end) */
static int file_make_ready(lua_State *L) {
  struct disk_file *file = check_file(L);
  file->ops->make_ready(file, room_u64(L, 2));
  return 0;
}

/* (offset, size) -> the bytes there, fewer at the end */
static int file_read_at(lua_State *L) {
  struct disk_file *file = check_file(L);
  size_t size = (size_t)room_u64(L, 3), got = 0;
  luaL_Buffer out;
  char *into = luaL_buffinitsize(L, &out, size);
  enum bitcask_status status = file->ops->read_at(file, room_u64(L, 2), into, size, &got);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  luaL_pushresultsize(&out, got);
  return 1;
}

/* (offset, size) -> exactly these bytes */
static int file_view(lua_State *L) {
  struct bitcask_buffer scratch = {0};
  const uint8_t *bytes = NULL;
  size_t size = (size_t)room_u64(L, 3);
  enum bitcask_status status =
      disk_file_view(check_file(L), room_u64(L, 2), size, &scratch, &bytes);
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(bytes, size));
  bitcask_buffer_release(&scratch);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static int file_sync(lua_State *L) {
  struct disk_file *file = check_file(L);
  return room_status(L, file->ops->sync(file));
}

static int file_finish(lua_State *L) {
  struct disk_file *file = check_file(L);
  return room_status(L, file->ops->finish(file));
}

static int file_freeze(lua_State *L) {
  struct disk_file *file = check_file(L);
  file->ops->freeze(file);
  return 0;
}

/* (offset, size) */
static int file_will_read(lua_State *L) {
  struct disk_file *file = check_file(L);
  file->ops->will_read(file, room_u64(L, 2), room_u64(L, 3));
  return 0;
}

/* (offset, size) */
static int file_load(lua_State *L) {
  struct disk_file *file = check_file(L);
  file->ops->load(file, room_u64(L, 2), room_u64(L, 3));
  return 0;
}

static int file_size(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)disk_file_size(check_file(L)));
  return 1;
}

static int file_is_mapped(lua_State *L) {
  lua_pushboolean(L, check_file(L)->map != NULL);
  return 1;
}

static int file_close(lua_State *L) {
  disk_file_close(room_take_object(L, FILE_TYPE));
  return 0;
}

static const luaL_Reg file_methods[] = {
    {"append", file_append}, {"read_at", file_read_at}, {"view", file_view},
    {"sync", file_sync},     {"finish", file_finish},   {"freeze", file_freeze},
    {"size", file_size},     {"is_mapped", file_is_mapped}, {"will_read", file_will_read},
    {"load", file_load},
    {"make_ready", file_make_ready}, {NULL, NULL}};

/* ---- Disk: directories ----------------------------------------------------------- */

struct disk_directory *room_directory(lua_State *L, int arg) {
  return room_object(L, arg, DIRECTORY_TYPE);
}

/* (name, capacity) -> file */
static int directory_create(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  const char *name = luaL_checkstring(L, 2);
  uint64_t capacity = (uint64_t)luaL_optinteger(L, 3, 0);
  void **file = room_new_object(L, FILE_TYPE, 1);
  enum bitcask_status status =
      directory->ops->create(directory, name, capacity, (struct disk_file **)file);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (name, growing) -> file */
static int directory_open(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  const char *name = luaL_checkstring(L, 2);
  bool growing = lua_toboolean(L, 3);
  void **file = room_new_object(L, FILE_TYPE, 1);
  enum bitcask_status status =
      directory->ops->open(directory, name, growing, (struct disk_file **)file);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (name, size, capacity) -> file */
static int directory_reopen(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  const char *name = luaL_checkstring(L, 2);
  uint64_t size = room_u64(L, 3), capacity = room_u64(L, 4);
  void **file = room_new_object(L, FILE_TYPE, 1);
  enum bitcask_status status =
      directory->ops->reopen(directory, name, size, capacity, (struct disk_file **)file);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (name, size): hold space */
static int directory_reserve(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  return room_status(L,
                     directory->ops->reserve(directory, luaL_checkstring(L, 2), room_u64(L, 3)));
}

static int directory_remove(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  return room_status(L, directory->ops->remove(directory, luaL_checkstring(L, 2)));
}

static int directory_rename(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  return room_status(L, directory->ops->rename(directory, luaL_checkstring(L, 2),
                                               luaL_checkstring(L, 3)));
}

static int directory_sync(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  return room_status(L, directory->ops->sync(directory));
}

static void add_name(void *context, const char *name) {
  lua_State *L = context;
  lua_pushstring(L, name);
  lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
}

static int directory_list(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  lua_newtable(L);
  enum bitcask_status status = directory->ops->list(directory, add_name, L);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

static int directory_lock(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  return room_status(L, directory->ops->lock(directory, luaL_checkstring(L, 2)));
}

static int directory_unlock(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  directory->ops->unlock(directory);
  return 0;
}

static int directory_identify(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  struct disk_identity identity;
  directory->ops->identify(directory, &identity);
  lua_pushfstring(L, "%I:%I", (LUAI_UACINT)identity.device, (LUAI_UACINT)identity.inode);
  return 1;
}

static int directory_open_files(lua_State *L) {
  struct disk_directory *directory = room_directory(L, 1);
  lua_pushinteger(L, directory->ops->open_files(directory));
  return 1;
}

/* (name, limit) -> all of a file */
static int directory_read_whole(lua_State *L) {
  struct bitcask_buffer whole = {0};
  enum bitcask_status status = disk_read_whole(room_directory(L, 1), luaL_checkstring(L, 2),
                                               (size_t)room_u64(L, 3), &whole);
  if (status == BITCASK_OK) lua_result_push_bytes(L, bytes_of(whole.data, whole.size));
  bitcask_buffer_release(&whole);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* (temporary, name, bytes) */
static int directory_replace(lua_State *L) {
  return room_status(L, disk_replace(room_directory(L, 1), luaL_checkstring(L, 2),
                                     luaL_checkstring(L, 3), lua_result_check_bytes(L, 4)));
}

static int directory_close(lua_State *L) {
  struct disk_directory *directory = room_take_object(L, DIRECTORY_TYPE);
  if (directory != NULL) directory->ops->close(directory);
  return 0;
}

static const luaL_Reg directory_methods[] = {
    {"create", directory_create},     {"open", directory_open},
    {"reopen", directory_reopen},     {"remove", directory_remove},
    {"rename", directory_rename},     {"sync", directory_sync},
    {"list", directory_list},         {"lock", directory_lock},
    {"unlock", directory_unlock},     {"identify", directory_identify},
    {"open_files", directory_open_files}, {"read_whole", directory_read_whole},
    {"replace", directory_replace},   {"reserve", directory_reserve}, {NULL, NULL}};

/* (path, create) -> directory */
static int disk_open(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  bool create = lua_toboolean(L, 2);
  void **directory = room_new_object(L, DIRECTORY_TYPE, 0);
  struct disk *disk = disk_posix();
  enum bitcask_status status =
      disk->ops->open_directory(disk, path, create, (struct disk_directory **)directory);
  return status == BITCASK_OK ? 1 : lua_result_failure(L, status);
}

/* -> now in ms, monotonic in us, boot */
static int disk_clocks(lua_State *L) {
  struct disk *disk = disk_posix();
  lua_pushinteger(L, (lua_Integer)disk->ops->now_ms(disk));
  lua_pushinteger(L, (lua_Integer)disk->ops->monotonic_us(disk));
  lua_pushinteger(L, disk->ops->boot(disk));
  return 3;
}

static int disk_random(lua_State *L) {
  struct disk *disk = disk_posix();
  size_t size = (size_t)room_u64(L, 1);
  luaL_Buffer out;
  char *into = luaL_buffinitsize(L, &out, size);
  enum bitcask_status status = disk->ops->random(disk, into, size);
  if (status != BITCASK_OK) return lua_result_failure(L, status);
  luaL_pushresultsize(&out, size);
  return 1;
}

static const luaL_Reg disk_functions[] = {
    {"open", disk_open}, {"clocks", disk_clocks}, {"random", disk_random}, {NULL, NULL}};

void room_open_disk(lua_State *L) {
  room_new_type(L, FILE_TYPE, file_methods, file_close);
  room_new_type(L, DIRECTORY_TYPE, directory_methods, directory_close);
  room_set_functions(L, "disk", disk_functions);
}
