// SPDX-License-Identifier: Apache-2.0
//
// registry.hpp - all exporters, for commands and tests that treat them alike.
#pragma once

#include <span>

#include "export/exporter.hpp"

namespace kflight::exports {

std::span<const Exporter> exporters();
// Null for a name that none has.
const Exporter* find_exporter(std::string_view name);

}  // namespace kflight::exports
