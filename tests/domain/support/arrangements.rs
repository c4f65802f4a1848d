//! Every order in which things can arrive.

/// All orders of `0..count`.
pub fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut orders = vec![Vec::new()];
    for next in 0..count {
        orders = (orders.iter())
            .flat_map(|order| (0..=order.len()).map(move |place| with(order, place, next)))
            .collect();
    }
    orders
}

/// Every order, each with every one of its things once more, as its sender's late retry: the
/// second copy comes last. `count` times as many as there are orders.
pub fn with_a_late_retry(count: usize) -> Vec<Vec<usize>> {
    let doubled = |order: Vec<usize>| (0..count).map(move |again| with(&order, order.len(), again));
    orders(count).into_iter().flat_map(doubled).collect()
}

/// Every order of the things and one of them twice, wherever the second copy comes: what
/// [`with_a_late_retry`] holds and all others, each once.
pub fn with_a_retry_anywhere(count: usize) -> Vec<Vec<usize>> {
    let doubled = |order: Vec<usize>| {
        let places = (0..count).flat_map(|first| (first..count).map(move |after| (first, after)));
        places.map(move |(first, after)| with(&order, after + 1, order[first]))
    };
    orders(count).into_iter().flat_map(doubled).collect()
}

fn with(order: &[usize], place: usize, added: usize) -> Vec<usize> {
    let mut order = order.to_vec();
    order.insert(place, added);
    order
}
