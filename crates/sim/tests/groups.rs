//! Members of groups, slow ones among them, get what was published in order, and none of it twice.

use sansocket_sim::{Choices, run_groups};

#[test]
fn members_of_several_groups_get_each_message_once_and_in_order() {
    for seed in 0..300 {
        run_groups(&mut Choices::from_seed(seed));
    }
}
