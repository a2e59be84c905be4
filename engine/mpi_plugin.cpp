// What libakin_mpi.so exports: the functions of MpiApi, a thin layer over MPI.
#include <mpi.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <string>

#include "engine/mpi_ranks.hpp"

namespace akin::mpi {
namespace {

int refused(const char* text, char* error, std::size_t room) {
  const std::size_t length = std::min(std::strlen(text), room - 1);
  std::memcpy(error, text, length);
  error[length] = 0;
  return 1;
}

int checked(int code, char* error, std::size_t room) {
  if (code == MPI_SUCCESS) return 0;
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(code, text, &length);
  return refused(text, error, room);
}

/// Counts of MPI are ints: more goes as blocks, or as one item of blocks and a rest.
class Bytes {
 public:
  explicit Bytes(std::size_t bytes) {
    if (bytes <= INT_MAX) {
      count = static_cast<int>(bytes);
      return;
    }
    constexpr std::size_t kBlock = 4096;
    const auto rest = static_cast<int>(bytes % kBlock);
    whole_ = bytes / kBlock <= INT_MAX;
    if (!whole_) return;
    count = static_cast<int>(bytes / kBlock);
    MPI_Type_contiguous(kBlock, MPI_BYTE, &type);
    if (rest > 0) {  // its extent is its bytes, for bytes need no alignment
      MPI_Datatype block = type;
      const int lengths[] = {count, rest};
      const MPI_Aint at[] = {0, static_cast<MPI_Aint>(bytes) - rest};
      const MPI_Datatype types[] = {block, MPI_BYTE};
      MPI_Type_create_struct(2, lengths, at, types, &type);
      MPI_Type_free(&block);
      count = 1;
    }
    MPI_Type_commit(&type);
  }
  ~Bytes() {
    if (type != MPI_BYTE) MPI_Type_free(&type);  // MPI keeps it as long as a message under way needs it
  }
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  bool fits() const { return whole_; }

  int count = 0;
  MPI_Datatype type = MPI_BYTE;

 private:
  bool whole_ = true;
};

template <class Call>
int started(std::size_t bytes, void** request, char* error, std::size_t room, Call&& call) {
  const Bytes size(bytes);
  if (!size.fits()) return refused("a message of over 8 TB", error, room);
  auto* made = new MPI_Request;
  if (checked(call(size, made), error, room) != 0) {
    delete made;
    return 1;
  }
  *request = made;
  return 0;
}

int open(int* rank, int* size, int* neighbour, int* neighbours, char* error, std::size_t room) {
  int there = 0;
  MPI_Initialized(&there);
  int level = 0;
  if (there == 0 && checked(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level), error, room) != 0) return 1;
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, rank);
  MPI_Comm_size(MPI_COMM_WORLD, size);
  MPI_Comm machine = MPI_COMM_NULL;
  if (checked(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine), error, room) != 0)
    return 1;
  MPI_Comm_rank(machine, neighbour);
  MPI_Comm_size(machine, neighbours);
  return checked(MPI_Comm_free(&machine), error, room);
}

/// Opaque to the other side; nullptr there is all ranks.
MPI_Comm of(void* group) { return group == nullptr ? MPI_COMM_WORLD : *static_cast<MPI_Comm*>(group); }

int split(int color, void** group, char* error, std::size_t room) {
  auto* made = new MPI_Comm(MPI_COMM_NULL);
  if (checked(MPI_Comm_split(MPI_COMM_WORLD, color, 0, made), error, room) != 0) {
    delete made;
    return 1;
  }
  MPI_Comm_set_errhandler(*made, MPI_ERRORS_RETURN);
  *group = made;
  return 0;
}

void close() { MPI_Finalize(); }
void abort(int code) { MPI_Abort(MPI_COMM_WORLD, code); }

int all_to_all(void* group, const void* send, void* receive, std::size_t each, void** request, char* error,
               std::size_t room) {
  return started(each, request, error, room, [&](const Bytes& b, MPI_Request* r) {
    return MPI_Ialltoall(send, b.count, b.type, receive, b.count, b.type, of(group), r);
  });
}

int all_gather(void* group, const void* own, void* all, std::size_t each, void** request, char* error,
               std::size_t room) {
  return started(each, request, error, room, [&](const Bytes& b, MPI_Request* r) {
    return MPI_Iallgather(own, b.count, b.type, all, b.count, b.type, of(group), r);
  });
}

int broadcast(void* group, void* data, std::size_t bytes, int from, void** request, char* error, std::size_t room) {
  return started(bytes, request, error, room,
                 [&](const Bytes& b, MPI_Request* r) { return MPI_Ibcast(data, b.count, b.type, from, of(group), r); });
}

int barrier(void* group, void** request, char* error, std::size_t room) {
  return started(0, request, error, room, [&](const Bytes&, MPI_Request* r) { return MPI_Ibarrier(of(group), r); });
}

int post(void* group, int to, int tag, const void* data, std::size_t bytes, void** request, char* error,
         std::size_t room) {
  return started(bytes, request, error, room, [&](const Bytes& b, MPI_Request* r) {
    return MPI_Isend(data, b.count, b.type, to, tag, of(group), r);
  });
}

int test(void** request, int* done, char* error, std::size_t room) {
  auto* r = static_cast<MPI_Request*>(*request);
  if (checked(MPI_Test(r, done, MPI_STATUS_IGNORE), error, room) != 0) return 1;
  if (*done == 0) return 0;
  delete r;
  *request = nullptr;
  return 0;
}

int probe(void* group, int tag, int* there, int* from, std::size_t* bytes, char* error, std::size_t room) {
  MPI_Status status;
  if (checked(MPI_Iprobe(MPI_ANY_SOURCE, tag, of(group), there, &status), error, room) != 0) return 1;
  if (*there == 0) return 0;
  int count = 0;
  MPI_Get_count(&status, MPI_BYTE, &count);
  *from = status.MPI_SOURCE;
  *bytes = static_cast<std::size_t>(count);
  return 0;
}

int receive(void* group, int from, int tag, void* data, std::size_t bytes, char* error, std::size_t room) {
  return checked(MPI_Recv(data, static_cast<int>(bytes), MPI_BYTE, from, tag, of(group), MPI_STATUS_IGNORE), error,
                 room);
}

const char* about() {
  static const std::string text = [] {
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(version, &length);
    const std::string whole(version);
    return whole.substr(0, whole.find_first_of(",\n"));
  }();
  return text.c_str();
}

}  // namespace
}  // namespace akin::mpi

extern "C" __attribute__((visibility("default"))) const akin::MpiApi* akin_mpi_api() {
  namespace mpi = akin::mpi;
  static const akin::MpiApi api{akin::kMpiVersion, mpi::about,      mpi::open,       mpi::split,     mpi::close,
                                mpi::abort,        mpi::all_to_all, mpi::all_gather, mpi::broadcast, mpi::barrier,
                                mpi::post,         mpi::test,       mpi::probe,      mpi::receive};
  return &api;
}
