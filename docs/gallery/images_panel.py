"""Images of matched people

People with the same lean muscle at three percentiles of InterMAT, chosen by the table alone. Here phantoms take their place.
"""

chosen = mb.select_matched(cohort)
settings = ["intermat_percent", "lmm_cm3_per_kg_m2", "bmi_kg_m2", "sex", "site"]
people = cohort.set_index("participant_id").loc[chosen["participant_id"], settings]
images = {
    name: mb.simulate_phantom("trunk", seed=1, voxel_mm=(2.0, 2.0, 6.0), **person) for name, person in people.iterrows()
}
figure = mb.plots.images_panel(chosen, images)
