// SPDX-License-Identifier: Apache-2.0
//
// wake_cause.hpp - what the recorder's KF_CAUSE_* mean to the model: the one place that translates them.
#pragma once

#include "model/interval.hpp"

namespace kflight::model {

// Today's recorder notes no causes; every KF_CAUSE_* that comes gets its line here.
constexpr CauseKind cause_kind(std::uint8_t wire_cause) {
  switch (wire_cause) {
    default:
      return CauseKind::kNotNoted;
  }
}

}  // namespace kflight::model
