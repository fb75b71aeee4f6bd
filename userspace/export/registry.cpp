// SPDX-License-Identifier: Apache-2.0
#include "export/registry.hpp"

#include <algorithm>

#include "export/jsonl.hpp"
#include "export/perfetto.hpp"

namespace kflight::exports {

namespace {
constexpr Exporter kExporters[] = {
    {"perfetto", ".perfetto-trace",
     "a picture to look around in: CPUs, thread states, wakings, calls, what explain says", true,
     "open it at https://ui.perfetto.dev (it stays on your machine)", export_perfetto},
    {"jsonl", ".jsonl", "one JSON object per line for scripts: threads, events, states, what explain says", false,
     "every line has a kind; docs/export.md describes them", export_jsonl},
};
}  // namespace

std::span<const Exporter> exporters() { return kExporters; }

const Exporter* find_exporter(std::string_view name) {
  const auto* found = std::ranges::find(kExporters, name, &Exporter::name);
  return found == std::end(kExporters) ? nullptr : found;
}

}  // namespace kflight::exports
