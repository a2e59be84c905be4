// The subcommands of akin. Each function declares one: its options, its help and what runs when it is called. They do
// argument parsing and printing only; the work is in distill and below.
#pragma once

namespace CLI {
class App;
}

namespace akin {

struct Console;  // apps/common.hpp

void add_data(CLI::App& akin);
void add_check(CLI::App& data);
void add_train(CLI::App& akin);
void add_import(CLI::App& akin);
void add_features(CLI::App& akin);
void add_rank(CLI::App& akin);
void add_distill(CLI::App& akin, const Console* console);
void add_fit(CLI::App& akin, const Console* console);
void add_bank(CLI::App& akin);
void add_experiment(CLI::App& akin);
void add_eval(CLI::App& akin);
void add_predict(CLI::App& akin);
void add_label(CLI::App& akin);
void add_export(CLI::App& akin);
void add_report(CLI::App& akin);
void add_watch(CLI::App& akin);
void add_info(CLI::App& akin);
void add_demo(CLI::App& akin);
void add_completion(CLI::App& akin);
void add_manual(CLI::App& akin);
void add_init(CLI::App& akin);
void add_demo_birds(CLI::App& demo);

}  // namespace akin
