// What plans cost, in ns of one core (query.md §8), and how many rows they give.
#pragma once

#include "rustbd/optimizer/planner.h"
#include "rustbd/plan/physical.h"

namespace rustbd::optimizer {

/// Sets estimated_rows, costs and width of a node whose children have theirs.
void estimate(Planner& planner, plan::PlanNode& node);

}  // namespace rustbd::optimizer
