#include "kernels/common/sim/queue.hpp"

#include <algorithm>
#include <utility>

#include "kernels/common/sim/block.hpp"

namespace akin::sim {

struct Queue::Capture {
  std::vector<Work> work;
  std::string broken;  ///< by what; empty: it is whole
};

namespace {

thread_local std::string* broken_of_thread = nullptr;  ///< of the capture under way on this thread

}  // namespace

std::string break_capture(const char* what) {
  if (broken_of_thread == nullptr) return "";
  if (broken_of_thread->empty())
    *broken_of_thread = fmt::format(
        "sim: {} while this thread captures a graph: a card refuses it and breaks the capture; do it before "
        "begin_capture() or after end_capture()",
        what);
  return *broken_of_thread;
}

void refuse_in_capture(const char* what) {
  if (const std::string why = break_capture(what); !why.empty()) throw Error(why);
}

// ---- all queues

std::uint64_t Queues::draw() {  // xorshift64
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return random_ >> 16;
}

bool Queues::ready(const Queue& queue) const {
  return !queue.items_.empty() && (queue.items_.front().wait == nullptr || queue.items_.front().wait->done);
}

/// The first item of a queue that is ready.
void Queues::run_next(Queue& queue) {
  const Queue::Item item = std::move(queue.items_.front());
  queue.items_.pop_front();
  if (item.record != nullptr) {
    item.record->at = std::chrono::steady_clock::now();
    item.record->done = true;
  } else if (item.wait != nullptr) {
    if (item.wait->error) queue.fail(item.wait->error);
  } else {
    try {
      item.work();
    } catch (...) {
      queue.fail(std::current_exception());
    }
  }
}

void Queues::run_until_empty(Queue& queue) {
  while (!queue.items_.empty()) {
    if (!ready(queue)) run_until(*queue.items_.front().wait);
    run_next(queue);
  }
}

/// Marks come from earlier work, so that queues never wait for each other in a ring.
void Queues::run_until(const Mark& mark) {
  while (!mark.done) {
    Queue& queue = *mark.queue;
    if (!ready(queue)) run_until(*queue.items_.front().wait);
    run_next(queue);
  }
}

/// One queue, another one every now and then, runs as far ahead as it can; or none does.
void Queues::stir() {
  if (async_ != Async::random) return;
  if (draw() % 4 == 0) favourite_ = draw() % (queues_.size() + 1);
  if (favourite_ >= queues_.size()) return;
  while (ready(*queues_[favourite_])) run_next(*queues_[favourite_]);
}

void Queues::finish(const Mark& mark) {
  if (mark.captured) throw Error("sim: an event that was recorded while a graph was captured cannot be waited for");
  const std::lock_guard lock(mutex_);
  run_until(mark);
  if (mark.error) std::rethrow_exception(mark.error);
}

void Queues::finish_all() noexcept {
  const std::lock_guard lock(mutex_);
  for (Queue* queue : queues_) run_until_empty(*queue);
}

float Queues::milliseconds(const Mark& from, const Mark& to) {
  const std::lock_guard lock(mutex_);
  if (!from.done || !to.done)
    throw Error("sim: time between two events of which one has not come yet; synchronize() the later one first");
  return std::chrono::duration<float, std::milli>(to.at - from.at).count();
}

// ---- one queue

Queue::Queue(std::shared_ptr<Queues> all, const Options& options) : all_(std::move(all)), options_(options) {
  const std::lock_guard lock(all_->mutex_);
  all_->queues_.push_back(this);
}

Queue::~Queue() {
  const std::lock_guard lock(all_->mutex_);
  all_->run_until_empty(*this);
  std::erase(all_->queues_, this);
  if (capture_ != nullptr && broken_of_thread == &capture_->broken) broken_of_thread = nullptr;
}

/// What is still queued after a failure is not done.
void Queue::fail(const std::exception_ptr& error) {
  if (!error_) error_ = error;
  for (const Item& item : items_) {
    if (item.record == nullptr) continue;
    item.record->error = error;
    item.record->done = true;
  }
  items_.clear();
}

void Queue::put(Item item) {
  const std::lock_guard lock(all_->mutex_);
  items_.push_back(std::move(item));
  all_->stir();
  if (all_->async_ != Async::none) return;
  all_->run_until_empty(*this);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Queue::submit(Work work) {
  if (capture_ != nullptr)
    capture_->work.push_back(std::move(work));
  else
    put({std::move(work), nullptr, nullptr});
}

MarkPointer Queue::record() {
  auto mark = std::make_shared<Mark>();
  mark->queue = this;
  mark->captured = capture_ != nullptr;
  if (!mark->captured) put({{}, mark, nullptr});
  return mark;
}

void Queue::wait(MarkPointer mark) {
  if (capture_ != nullptr) refuse_in_capture("a wait for an event");
  if (mark->captured) throw Error("sim: an event that was recorded while a graph was captured cannot be waited for");
  if (mark->queue->all_ != all_) throw Error("sim: a stream cannot wait for an event of another device");
  put({{}, nullptr, std::move(mark)});
}

void Queue::synchronize() {
  if (capture_ != nullptr) refuse_in_capture("synchronize()");
  const std::lock_guard lock(all_->mutex_);
  all_->stir();
  all_->run_until_empty(*this);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void Queue::begin_capture() {
  if (capture_ != nullptr) throw Error("sim: this stream captures a graph already");
  if (broken_of_thread != nullptr) throw Error("sim: this thread captures a graph of another stream already");
  capture_ = std::make_unique<Capture>();
  broken_of_thread = &capture_->broken;
}

std::shared_ptr<const std::vector<Work>> Queue::end_capture() {
  if (capture_ == nullptr) throw Error("sim: this stream captures no graph");
  if (broken_of_thread != &capture_->broken)
    throw Error("sim: a capture is ended by the thread that began it, this is another");
  broken_of_thread = nullptr;
  const std::unique_ptr<Capture> capture = std::move(capture_);
  if (!capture->broken.empty()) throw Error(capture->broken);
  return std::make_shared<const std::vector<Work>>(std::move(capture->work));
}

}  // namespace akin::sim
