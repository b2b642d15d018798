// Swatches in front of the choices of a form: `props.value` tells the last one touched, as JSON {name, value}. Which are
// pressed is told by the form itself, which may be changed without them.
element.querySelectorAll('button[data-value]').forEach((button) => {
    button.onclick = () => {
        props.value = JSON.stringify({ name: button.dataset.name, value: button.dataset.value, at: Date.now() });
        trigger('change');
    };
});
