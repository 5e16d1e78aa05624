// Tkrzw's HashDBM, updated in place.
#include "driver.h"

#include <tkrzw_dbm_hash.h>

#include <string>
#include <string_view>

namespace {

struct Store {
  tkrzw::HashDBM dbm;
  bool sync;
};

struct Session {
  Store *store;
  std::string value;
};

void check(const tkrzw::Status &status, const char *what) {
  if (!status.IsOK()) driver_die("tkrzw: %s: %s", what, std::string(status).c_str());
}

std::string_view view(driver_bytes bytes) { return {bytes.data, bytes.size}; }

void *store_open(const driver_config *config) {
  auto *store = new Store;
  store->sync = config->sync;
  tkrzw::HashDBM::TuningParameters parameters;
  parameters.num_buckets = static_cast<int64_t>(config->key_count) * 2 + 1000;
  std::string path = std::string(config->directory) + "/casket.tkh";
  check(store->dbm.OpenAdvanced(path, true, tkrzw::File::OPEN_DEFAULT, parameters), "open");
  return store;
}

void store_close(void *context) {
  auto *store = static_cast<Store *>(context);
  check(store->dbm.Close(), "close");
  delete store;
}

void *session_open(void *store) { return new Session{static_cast<Store *>(store), {}}; }

void session_close(void *session) { delete static_cast<Session *>(session); }

void put(void *context, driver_bytes key, driver_bytes value) {
  auto *store = static_cast<Session *>(context)->store;
  check(store->dbm.Set(view(key), view(value)), "set");
  if (store->sync) check(store->dbm.Synchronize(true), "synchronize");
}

bool get(void *context, driver_bytes key, driver_bytes *value) {
  auto *session = static_cast<Session *>(context);
  tkrzw::Status status = session->store->dbm.Get(view(key), &session->value);
  if (status == tkrzw::Status::NOT_FOUND_ERROR) return false;
  check(status, "get");
  *value = {session->value.data(), session->value.size()};
  return true;
}

void remove_key(void *context, driver_bytes key) {
  tkrzw::Status status = static_cast<Session *>(context)->store->dbm.Remove(view(key));
  if (status != tkrzw::Status::NOT_FOUND_ERROR) check(status, "remove");
}

class Visitor final : public tkrzw::DBM::RecordProcessor {
 public:
  Visitor(driver_visit visit, void *context) : visit_(visit), context_(context) {}
  std::string_view ProcessFull(std::string_view key, std::string_view value) override {
    visit_(context_, {key.data(), key.size()}, {value.data(), value.size()});
    return NOOP;
  }

 private:
  driver_visit visit_;
  void *context_;
};

void scan(void *context, driver_visit visit, void *visit_context) {
  Visitor visitor(visit, visit_context);
  check(static_cast<Session *>(context)->store->dbm.ProcessEach(&visitor, false), "scan");
}

void merge(void *store) { check(static_cast<Store *>(store)->dbm.Rebuild(), "rebuild"); }

driver make_driver() {
  driver made = {};
  made.name = "tkrzw";
  made.tuning = "HashDBM, updating in place, two buckets a key";
  made.can_sync = true;
  made.open = store_open;
  made.close = store_close;
  made.session_open = session_open;
  made.session_close = session_close;
  made.put = put;
  made.get = get;
  made.remove = remove_key;
  made.scan = scan;
  made.merge = merge;
  return made;
}

}  // namespace

extern "C" {
extern const driver driver_tkrzw;
const driver driver_tkrzw = make_driver();
}
